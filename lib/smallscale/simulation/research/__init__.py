"""Can an agent do research? Small tasks, a fenced workspace, and policies to compare.

A miniature of MLAgentBench (Huang, Vora, Liang and Leskovec 2024).
"""
