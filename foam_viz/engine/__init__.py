"""Training as a service: runs, the recorder, the engine process and the hub that owns the processes.

``config``, ``hub`` and ``protocol`` import no torch: the Streamlit process uses them.
"""
