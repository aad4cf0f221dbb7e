FROM busybox AS base
ARG GREETING=none
RUN echo $GREETING > /greeting
FROM base AS final
CMD ["sleep", "1000"]
FROM base AS unused
RUN false
