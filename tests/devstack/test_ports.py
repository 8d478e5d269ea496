"""Ports are chosen before they are used."""

from devstack.ports import free_port


def test_no_port_is_given_twice():
    assert len({free_port() for _ in range(2000)}) == 2000
