"""As much of curl as the pages use, for machines without it: `python curl.py [-X M] [-H H] [-d D] [-w W] URL`."""

import argparse

import httpx


def main() -> None:
    """Send one request and print the answer as curl does."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="data")
    parser.add_argument("-w", dest="write_out", default="")
    given = parser.parse_args()
    headers = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in given.headers)]
    method = given.method or ("GET" if given.data is None else "POST")
    answer = httpx.request(method, given.url, headers=headers, content=given.data)
    print(answer.text + given.write_out.replace("\\n", "\n").replace("%{http_code}", str(answer.status_code)), end="")


if __name__ == "__main__":
    main()
