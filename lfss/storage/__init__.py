"""What a workspace is made of: the file, its pictures, labels, drafts and their history.

``lfss.workspace`` is the only caller. Every function works on a connection inside a transaction that
the workspace holds, so that one method of it is one step for everybody else.
"""
