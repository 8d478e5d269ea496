"""Stands in for the project's Celery app."""

import os

from celery import Celery

# Celery takes this as a reason to set Django up.
os.environ.pop("DJANGO_SETTINGS_MODULE", None)
folder = os.environ["CELERY_FILESYSTEM_DIRECTORY"]
app = Celery("config", broker=os.environ["CELERY_BROKER_URL"])
app.conf.broker_transport_options = {"data_folder_in": folder, "data_folder_out": folder}
