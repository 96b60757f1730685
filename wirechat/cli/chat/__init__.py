"""`wirechat chat`: a chat program for the terminal, on the client library.

What is shown is decided in plain classes that know neither Textual nor the network; widgets draw it.

command      the command line                       place        where the cache lives
guest        Trio inside the terminal's asyncio     desk         what the program knows, told by events
people       names and colours                      chats        the list of conversations
timeline     the rows of a conversation             paint        rows as lines of a terminal
compose      what is being typed                    commands     what /words do
app          the program on the screen              widgets/     its parts
"""
