"""CrowdLLM from within other tools: scikit-learn, Hugging Face datasets, MCP clients."""
