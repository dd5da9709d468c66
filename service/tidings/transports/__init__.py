"""Every wire of the service. A transport translates the contract and knows no method by name."""
