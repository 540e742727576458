"""One road from pictures to results, whoever asks: the command line, the page, or a cluster.

``loop`` goes through the pictures. A *source of workers* segments them: ``loop.here`` in this process,
``on_ray.OnRay`` on the machines of a Ray cluster. A *sink* keeps the results: ``folder.IntoFolder`` as files,
``drafts.IntoWorkspace`` as drafts of a workspace, ``demo.run`` for a page too.
"""
