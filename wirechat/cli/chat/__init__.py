"""`wirechat chat`: a chat program for the terminal, on the client library.

What is shown is decided in plain classes that know neither Textual nor the network; widgets draw it.

command      the command line                       place        where the cache lives
guest        Trio inside the terminal's asyncio     desk         what the program knows, told by events
people       names and colours                      chats        the list of conversations
presence     who is there, who writes               status       what is said about the connection
window       the part of a log that is shown        timeline     its records as rows
paint        rows as lines of a terminal            when         times in words
compose      what is being typed                    commands     what /words do
app          the program on the screen              widgets/     its parts
"""
