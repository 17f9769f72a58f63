"""One contract for every provider: the real SDKs against the scripted server, over HTTP."""
