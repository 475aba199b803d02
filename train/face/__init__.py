"""The classifier's second answer: does a box show a face at all?"""
