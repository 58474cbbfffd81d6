"""Review for many: doubtful fields become tasks, tasks are leased to people, answers become events.

``rounds`` makes tasks of a job's doubtful fields (`tasks`, `choosing`) and stores them as a round;
``work`` gives them to people and takes their answers, with what is known of a job held in memory
(`known`) and the rows behind a task judged again while its fields are typed (`behind`, `judging`);
`cutting` makes the pictures; ``located`` takes corners of pages that were not found; ``figures``
says who did what. ``screens`` is what a browser gets, ``routes`` and ``pages`` are the addresses.
The truth is in the bucket: rounds, rows and marks of what is done below ``jobs/<job>/review/``, and
answers as events, the first of each task written and no other. Redis holds leases, which only spare
people the same work.
"""
