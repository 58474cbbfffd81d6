"""Review at the desk: people verify and key values, each field leased to one of them."""
