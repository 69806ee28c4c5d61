"""The same rows asked in many ways: are the answers the same?"""
