"""Speech in and out, on this machine and in the client's process: nothing of it is ever loaded by the daemon.

The path of a spoken word: `devices` (blocking reads) -> `resample` -> `vad` -> `segmenter` (an utterance) ->
`transcriber` (text) -> the daemon's socket -> `sentences` -> `synthesis` -> `mouth` -> `devices`. `engine` joins the
two ends with threads, `talk` is the conversation, `pipe` the same for another process (the chat in the terminal).
Audio is float32 in -1..1, mono, 16 kHz between these modules; int16 only at a device, in a file and on a wire.
"""
