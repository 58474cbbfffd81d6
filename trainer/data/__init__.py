"""From sources to labelled samples: folders, tables, regions, strips, MNIST; and their split."""
