"""Where visitors are: country, region and city of an address, looked up before the address is forgotten.

`atlas` answers, from databases in MaxMind's format (mmdb); `package` fetches an openly licensed one by its name in the
npm registry. Without a database everything works, and nobody is anywhere.
"""
