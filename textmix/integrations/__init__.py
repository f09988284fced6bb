"""Mixing inside other libraries' training loops; nothing in textmix imports these modules."""
