"""Reads the metrics of the service at /metrics."""

import asyncio

import aiohttp
from prometheus_client.parser import text_string_to_metric_families


class ServiceMetrics:
    """The metrics of the service at this URL."""

    def __init__(self, http_url: str) -> None:
        self._url = f"{http_url}/metrics"

    async def read(self) -> dict[str, float]:
        """Every metric by name, summed over its labels."""
        async with aiohttp.ClientSession() as client, client.get(self._url) as answer:
            text = await answer.text()
        numbers: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                numbers[sample.name] = numbers.get(sample.name, 0) + sample.value
        return numbers

    async def wait_until(self, **expected: float) -> dict[str, float]:
        """Wait until these metrics have these values."""
        async with asyncio.timeout(60):
            while True:
                numbers = await self.read()
                if all(numbers[f"tidings_{name}"] == value for name, value in expected.items()):
                    return numbers
