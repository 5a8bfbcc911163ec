"""Adapters for agent frameworks. Each needs its framework, which the extra of the same name installs.

- `agenttrace.integrations.langchain`: LangChain and LangGraph, `pip install agenttrace[langchain]`
- `agenttrace.integrations.openai_agents`: the OpenAI Agents SDK, `pip install agenttrace[openai-agents]`

They read structure: names, timing, outcomes, counts. They look at no prompt, no answer, no argument and no document.
"""
