"""Is one model better than another? By whose measure, and how surely?"""
