"""`crowdllm report`: what folders of this project hold, as one file that answers the questions a reader has.

`found` tells what a folder is; `of_results`, `of_crowd`, `of_estimates` and `of_page` turn one into answers for the
first screen and sections below; `document` writes the one HTML file, `printed` a PDF of it.
"""
