# For Astro ("astro dev start", "astro deploy") and any other place that runs containers. The base is the official
# Airflow image; an Astro project puts the Astro Runtime image of Airflow 3.3 in its place (its "-base" variant: the
# other one installs requirements.txt by itself, without the lock). Both run as user 50000.
ARG BASE_IMAGE=apache/airflow:3.3.2-python3.12
FROM ${BASE_IMAGE}

WORKDIR ${AIRFLOW_HOME}

# Requirements first: a change of the code then costs no new install.
COPY --chown=50000:0 requirements.lock ./
RUN pip install --no-cache-dir --compile --require-hashes --requirement requirements.lock

COPY --chown=50000:0 . .

# In place, so that Airflow lists Pressroom's connection types: it finds them by what is installed.
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable .

# Without byte code every new worker process compiles what it imports, which costs seconds each time.
RUN PYTHONDONTWRITEBYTECODE= python -m compileall -q include dags plugins config

# The package stays where it is, and config/ holds airflow_local_settings.py.
ENV PYTHONPATH=${AIRFLOW_HOME}/include:${AIRFLOW_HOME}/config
# By default each thread of a server keeps freed memory of its own, up to eight heaps a core.
ENV MALLOC_ARENA_MAX=2
# The same tuning as the local runner's, with its reasons; AIRFLOW__* variables of the deployment still win.
ENV AIRFLOW_CONFIG=${AIRFLOW_HOME}/config/airflow.cfg
