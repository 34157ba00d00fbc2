# The app as an ordinary user. What it writes goes to /data; everything else may be read-only (see compose.yaml).
FROM python:3.12-slim
ARG PIP_ARGUMENTS=""
# Named by STREAMLIT_BROWSER_SERVER_ADDRESS, its address is not asked of a server elsewhere at every start.
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 \
    HOME=/data FOAM_VIZ_HOME=/data STREAMLIT_SERVER_ADDRESS=0.0.0.0 STREAMLIT_BROWSER_SERVER_ADDRESS=localhost
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir ${PIP_ARGUMENTS} --requirement requirements.txt
COPY . .
# The files that browsers load are put in their place now: later nothing here can be written.
RUN python -c "from foam_viz.ui.board.assets import publish; publish()" \
    && useradd --uid 10001 --no-create-home --home-dir /data viewer && mkdir /data && chown viewer /data
USER viewer
VOLUME /data
EXPOSE 8501
HEALTHCHECK --start-period=60s CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=3)"
CMD ["python", "-m", "streamlit", "run", "app.py", "--server.port=8501"]
