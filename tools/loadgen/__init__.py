"""The load generator: its own processes, real sockets, nothing of the server.

scenario, scenarios/     what a load is: people, conversations, activities, phases
schedule                 intended times, whatever came of earlier ones
loop, line, peer         one thread for many connections; a connection; a person
crowd, talk, texts       people and conversations made; what was said and who has it
activities, strangers    what people do; and some who mean no good
measures, machine        latencies, counts; CPU, memory, and whether the machine was late
judge                    every delivery, to the judge of histories
worker, run              one process; a whole run
report/                  tables, pages, files, comparisons
"""
