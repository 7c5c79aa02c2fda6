"""The testing kit: for tests of machines, adapters and journals, your own and the shipped ones."""
