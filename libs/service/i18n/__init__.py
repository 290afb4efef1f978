"""Texts for people, in their language.

:mod:`~libs.service.i18n.negotiation` finds the language of a request, :mod:`~libs.service.i18n.formats` writes
numbers, money, times and durations as it does, :mod:`~libs.service.i18n.wording` fills the texts of a catalogue.
A service keeps its catalogue as one module per language and has a test that none lacks a text or a placeholder.
"""
