"""Models behind a provider's interface: OpenAI, Anthropic, Gemini and servers that speak like them.

One file a provider (`openai`, `anthropic`, `gemini`: an `Adapter` each), one backend over all of
them (`backend.ApiBackend`), and the ports (`ports`) through which the engine gives it permits to
ask, a memory of paid answers, and notes that outlive it. No file here knows Ray or the store.
"""
