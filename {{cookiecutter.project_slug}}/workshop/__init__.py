"""The onboarding workshop: labs about migrations, and `flask workshop`, which checks them.

This folder is all of it. Delete it when the workshop is over: nothing else in the project knows it.
INSTRUCTOR.md says how to hold the workshop and how to add a lab.
"""
