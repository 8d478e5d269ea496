"""One consumer process of the sample room: `python -m tests.kafka.member EVENTBUS-as-JSON`, stopped by SIGTERM."""

import json
import logging
import os
import signal
import sys

import django
from django.conf import settings

from eventbus.conf import bus_settings


def end_at_once() -> Exception:
    """What a segmentation fault or a lack of memory does."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def main() -> None:
    """Consume until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.test"
    django.setup()
    settings.EVENTBUS = json.loads(sys.argv[1])
    bus_settings.cache_clear()

    from eventbus.consumer import Consumer
    from tests.eventbus import sample

    if "deadly" in settings.EVENTBUS["rooms"]["tests"]["client_id"]:
        sample.troubles[13] = end_at_once
    consumer = Consumer("tests")
    signal.signal(signal.SIGTERM, consumer.stop)
    consumer.run()


if __name__ == "__main__":
    main()
