"""Names that the body of a question may have, by protocol; any other is refused.

Read on 2026-11-27 in the SDKs: ``openai/types/responses/response_create_params.py`` and
``openai/types/chat/completion_create_params.py`` (3.57.0), ``anthropic/types/
message_create_params.py`` (2.14.0), ``google/genai/models.py`` (3.6.1:
``_GenerateContentConfig_to_mldev``). ``stream`` is known, and answered with an error of its own.
"""

from __future__ import annotations

from lens_ray.testing.provider.wire import Json, Trouble

RESPONSES = frozenset(
    [
        "access_programs",
        "background",
        "background_options",
        "context_management",
        "conversation",
        "image",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "moderation",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    ]
)
CHAT = frozenset(
    [
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "modalities",
        "model",
        "moderation",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    ]
)
MESSAGES = frozenset(
    [
        "cache_control",
        "container",
        "diagnostics",
        "inference_geo",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "service_tier",
        "speed",
        "stop_sequences",
        "stream",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    ]
)
#: Which version 2026-10-21 of Anthropic's interface does not know any more.
SAMPLING = frozenset({"temperature", "top_p", "top_k"})
GENERATE_CONTENT = frozenset(
    [
        "cachedContent",
        "contents",
        "generationConfig",
        "labels",
        "safetySettings",
        "serviceTier",
        "store",
        "systemInstruction",
        "toolConfig",
        "tools",
    ]
)
GENERATION_CONFIG = frozenset(
    [
        "audioTimestamp",
        "audioTranscriptionConfig",
        "candidateCount",
        "continuationToken",
        "enableEnhancedCivicAnswers",
        "frequencyPenalty",
        "generationOutputConfig",
        "imageConfig",
        "logprobs",
        "maxOutputTokens",
        "mediaResolution",
        "presencePenalty",
        "responseJsonSchema",
        "responseLogprobs",
        "responseMimeType",
        "responseModalities",
        "responseSchema",
        "seed",
        "speechConfig",
        "stopSequences",
        "temperature",
        "thinkingConfig",
        "topK",
        "topP",
    ]
)


def check_names(body: Json, known: frozenset[str]) -> None:
    """Refuse names that are not known; raises `Trouble`."""
    unknown = sorted(body.keys() - known)
    if unknown:
        raise refused(unknown[0])


def refused(name: str) -> Trouble:
    """A parameter that is not taken."""
    return Trouble("invalid", f"Unsupported parameter: '{name}'", param=name)
