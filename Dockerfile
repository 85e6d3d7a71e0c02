# syntax=docker/dockerfile:1
#
# The base is named by digest, so that the same tree gives the same image:
#
#   docker build --build-arg PYTHON_DIGEST=$(docker buildx imagetools inspect python:3.11-slim \
#     --format '{{.Manifest.Digest}}') --tag priority-autoscaler .
#
# Everything else comes from requirements.lock, by hash. The steps of the environment are deploy/image/assemble.py's,
# which a test runs in a plain directory.

ARG PYTHON_DIGEST
FROM python:3.11-slim@${PYTHON_DIGEST} AS python

FROM python AS environment
WORKDIR /source
COPY pyproject.toml requirements.lock README.md ./
COPY deploy/image/assemble.py deploy/image/
COPY autoscaler autoscaler
RUN python deploy/image/assemble.py /opt/autoscaler

# Python and its libraries, without what could install or build anything. The list of Debian packages stays, for
# scanners; bytecode is made here, since the file system of the running container is read-only.
FROM python AS system
RUN set -eu; \
    library=/usr/local/lib/python3.11; \
    rm -rf "$library"/site-packages/* "$library"/ensurepip "$library"/idlelib "$library"/lib2to3 "$library"/test; \
    rm -rf /usr/local/bin/pip* /usr/local/bin/idle* /usr/local/bin/2to3* /usr/local/bin/pydoc* /usr/local/include; \
    python -m compileall -q -j 0 --invalidation-mode unchecked-hash "$library"; \
    echo 'autoscaler:x:65532:65532::/:/usr/sbin/nologin' >> /etc/passwd; \
    echo 'autoscaler:x:65532:' >> /etc/group; \
    find / -xdev -type f -perm /6000 -exec chmod a-s {} +; \
    rm -rf /usr/bin/apt* /usr/lib/apt /etc/apt /var/lib/apt /var/cache/* /var/log/*; \
    rm -rf /usr/bin/perl* /usr/lib/*/perl-base /usr/bin/dpkg* /usr/sbin/dpkg* /usr/lib/dpkg /usr/libexec/dpkg

FROM scratch
COPY --from=system / /
COPY --from=environment /opt/autoscaler /opt/autoscaler
ENV PATH=/opt/autoscaler/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 8085
ENTRYPOINT ["autoscaler"]
CMD ["run"]
