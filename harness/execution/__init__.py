"""Where the work of a bench runs. An executor takes the jobs that can begin and hands back what became of each.

executor.py says what every executor does, factory.py makes one by name: inline.py, local.py, ray.py.
job.py is what is handed over, work.py what a worker does with it, events.py what it says meanwhile.
"""
