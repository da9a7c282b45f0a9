import pytest
import rest


@pytest.fixture
def client(tallyd):
    """Calls to the shared server; see tests/lib/rest.py."""
    return rest.Rest(tallyd)
