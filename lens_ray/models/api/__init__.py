"""Models behind a provider's interface: OpenAI, Anthropic, Gemini and servers that speak like them.

One backend over all providers, one `adapter.Adapter` a provider, and the `ports` through which the
engine gives it permits to ask, a memory of paid answers, and notes that outlive it. No file here
knows Ray or the store. In the order in which a question travels:

* `options`            what a job may say of such a model; `access` key, host and limits of it
* `keys`               a key, never shown; `redaction` keeps it out of logs, lines and exceptions
* `ports`              what the engine gives, and `Alone`, which serves one process without it
* `backend`            `ApiBackend`: recall, permit, call, keep, yield
* `craft`              a request becomes a question, what came of it a completion
* `images`             how an image is sent: the policy, and what each provider takes
* `pricing`            what the tokens of a model cost
* `outage`             holds calls back while the provider is away
* `providers`          which adapter speaks to which provider, and what its models do not take
* `adapter`            what a provider's file implements, and what it says: `Answer`, `ApiFailure`
* `calls`              what adapters share; `pools` connections, `headers` limits and waits
* `openai`             its adapter; `openai_messages` bodies and answers of both interfaces,
  `openai_errors` why there is none, `openai_models` what is known of models by their names
* `anthropic`          its adapter; `anthropic_errors` and `anthropic_models` as above
* `gemini`             its adapter; `gemini_errors` as above
* `batching`           questions asked by the batch interface; `batch_parts` what it holds,
  `batch_notes` what is durable of each step, `batch_calls` calls that are made until answered
* `checkup`            what `lens-ray doctor` says of a model
"""
