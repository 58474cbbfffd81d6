"""The worker: chunks in, rows out.

app       the Celery application and its one task
chunk     what happens to one chunk, from message to rows: start reading here
mill      what a worker works with, and how it waits for servers that are away
suspect   chunks that take whole workers down with them
damage    chunk objects that are damaged or gone
engines   the supervisor: starts engines, hands out chunks, survives their deaths
engine    the spawned process: decode, cut, normalise, predict, build rows
frames    the bytes between the two
live      which model versions serve, and how a new one comes in
channel   how messages leave Redis: kombu's transport, hardened
"""
