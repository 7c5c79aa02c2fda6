"""statecore"""
