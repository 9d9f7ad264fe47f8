"""Looks at a page of `--report` in a real browser: Debian's Chromium, by WebDriver, with the standard library alone.

    look.py PAGE SUMMARY.json SCREENSHOTS

Asks that the page loads with no word on the console and no request, that its numbers are those of the JSON, that
sorting, searching and the links from rules to connections work, also by keyboard, that nothing is wider than its frame on a
screen, of a phone or larger, but the matrix, which scrolls in itself, and that letters of plots are large enough, and makes
pictures at four widths in both colour schemes. Exits 1 with what it
found to be wrong.
"""

import base64
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

page, summary, pictures = map(pathlib.Path, sys.argv[1:4])
faults = []


def check(holds, what):
    if not holds:
        faults.append(what)


class Browser:
    def __init__(self, profile):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        for line in self.driver.stdout:
            if "started successfully on port" in line:
                self.base = f"http://127.0.0.1:{line.rsplit(None, 1)[1].rstrip('.')}"
                break
        quiet = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync",
                 f"--user-data-dir={profile}", "--hide-scrollbars"]
        options = {"args": quiet}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options,
                  "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        self.session = self.base
        found = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = f"{self.base}/session/{found['sessionId']}"

    def ask(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.session + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.read().decode()}")

    def run(self, script):
        return self.ask("POST", "/execute/sync", {"script": script, "args": []})

    def devtools(self, command, **parameters):
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def log(self, kind):
        return self.ask("POST", "/se/log", {"type": kind})

    def close(self):
        self.ask("DELETE", "")
        self.driver.terminate()
        self.driver.wait()


def look(browser):
    # What the browser itself loads first is none of the page's.
    browser.ask("POST", "/url", {"url": "about:blank"})
    time.sleep(0.3)
    browser.log("performance")
    browser.ask("POST", "/url", {"url": page.resolve().as_uri()})
    time.sleep(0.3)
    loud = browser.log("browser")
    check(not loud, f"the console says {loud}")
    asked = []
    for entry in browser.log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
    others = [url for url in asked if not url.startswith(("data:", page.resolve().as_uri()))]
    check(not others, f"the page asks for {others}")

    # The numbers.
    of_json = json.loads(summary.read_text())
    inside = browser.run("return JSON.parse(document.getElementById('data').textContent)")
    for key in ["packets", "connections", "inputs"]:
        check(inside[key] == of_json[key], f"{key}: the page holds {inside[key]}, and the JSON {of_json[key]}")
    cards = browser.run("return Object.fromEntries([...document.querySelectorAll('[data-count]')]"
                        ".map(of => [of.dataset.count, of.textContent]))")
    for unit in ["packets", "connections"]:
        for name, number in of_json[unit].items():
            shown = cards.get(f"{unit} {name.replace('_', ' ')}")
            if isinstance(number, int) and shown is not None:
                check(shown.split(" ")[0] == f"{number:,}", f"{unit} {name}: {shown} is shown, and {number} in the JSON")
    check(len(cards) >= 6, f"only {len(cards)} counts are shown")
    for rule in of_json.get("rules", []):
        row = [rule["group"], rule["rule"], rule["direction"], rule["policy"], f"{rule['priority']:,}",
               f"{rule['connections']:,}", f"{rule['packets']:,}"]
        shown = browser.run("return [...document.querySelectorAll('#rules-1 tbody tr')]"
                            ".map(of => [...of.cells].slice(0, 7).map(cell => cell.textContent))")
        check(row in shown, f"the rules do not show {row}")

    # Sorting: by keyboard, up and down, numbers as numbers.
    column = ("return [...document.querySelectorAll('#rules-1 tbody tr')]"
              ".map(of => Number(of.cells[6].dataset.sort))")
    button = "document.querySelectorAll('#rules-1 th button')[6]"
    for wanted in ["ascending", "descending"]:
        browser.run(f"{button}.focus()")
        browser.ask("POST", "/actions", {"actions": [{"type": "key", "id": "k", "actions": [
            {"type": "keyDown", "value": "\ue007"}, {"type": "keyUp", "value": "\ue007"}]}]})
        sort = browser.run(f"return {button}.parentNode.getAttribute('aria-sort')")
        check(sort == wanted, f"the rules are sorted {sort}, {wanted} was asked for")
        found = browser.run(column)
        check(found == sorted(found, reverse=wanted == "descending"), f"{wanted}: {found}")

    # Searching, and from a rule to its connections.
    visible = "return [...document.querySelectorAll('#connections-1 tbody tr')].filter(of => !of.hidden).length"
    every = browser.run(visible)
    links = browser.run("return document.querySelectorAll('a[data-search]').length")
    check(links > 0, "no rule has a link to its connections")
    browser.run("document.querySelector('a[data-search]').click()")
    wanted = browser.run("return document.querySelector('a[data-search]').dataset.search")
    found = browser.run("return [...document.querySelectorAll('#connections-1 tbody tr')]"
                        ".filter(of => !of.hidden).map(of => of.textContent)")
    check(all(wanted in row for row in found), f"{wanted} is searched for, and {found} is found")
    check(0 < len(found) <= every, f"{len(found)} of {every} connections are found")
    browser.run("const of = document.querySelector('input[data-table=connections-1]');"
                "of.value = 'no such thing'; of.dispatchEvent(new Event('input'))")
    check(browser.run(visible) == 0, "what is not there is found")
    browser.run("const of = document.querySelector('input[data-table=connections-1]');"
                "of.value = ''; of.dispatchEvent(new Event('input')); scrollTo(0, 0)")

    # For a screen reader.
    bare = browser.run("""
      const bad = [];
      for (const table of document.querySelectorAll('table')) {
        if (!table.caption || !table.caption.textContent) bad.push(table.id + ' has no caption');
        for (const head of table.querySelectorAll('th')) if (!head.textContent) bad.push(table.id + ' has an empty header');
      }
      for (const of of document.querySelectorAll('[role=img]')) if (!of.ariaLabel) bad.push('a picture without words');
      for (const of of document.querySelectorAll('input')) if (!of.labels.length) bad.push('an input without a label');
      if (document.querySelectorAll('h1').length != 1) bad.push('there is not one heading');
      return bad;""")
    check(not bare, f"a screen reader misses {bare}")

    pictures.mkdir(parents=True, exist_ok=True)
    for width in [1920, 1280, 768, 400]:
        browser.devtools("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1,
                         mobile=width < 500)
        wider = browser.run("return document.documentElement.scrollWidth")
        check(wider <= width, f"at {width} pixels the page is {wider} wide")
        cut = browser.run("""
          const cut = [];
          for (const of of document.querySelectorAll('.scroll, .cards div, figure, figure div, td, dd, h1, .from, input')) {
            if (of.closest('.scroll')?.querySelector('.matrix')) continue;
            if (of.scrollWidth > of.clientWidth + 1) cut.push(of.tagName + ' ' + of.textContent.slice(0, 40));
          }
          return cut;""")
        check(not cut, f"at {width} pixels wider than their frames: {cut}")
        out = browser.run("""
          const out = [];
          for (const svg of document.querySelectorAll('figure svg')) for (const of of svg.querySelectorAll('text')) {
            const [a, b] = [of.getBoundingClientRect(), svg.getBoundingClientRect()];
            if (a.left < b.left - 1 || a.right > b.right + 1) out.push(of.textContent);
          }
          return out;""")
        check(not out, f"at {width} pixels labels of plots are cut: {out}")
        small = browser.run("""
          const shown = [...document.querySelectorAll('figure svg')].filter(of => of.getClientRects().length);
          const sizes = shown.flatMap(of => [...of.querySelectorAll('text')]
            .map(text => parseFloat(getComputedStyle(text).fontSize) * of.getScreenCTM().a));
          return [shown.length, Math.min(...sizes)];""")
        check(small[0] in (1, 2) and small[1] >= 11, f"at {width} pixels {small[0]} plots, with letters of {small[1]} pixels")
        for scheme in ["light", "dark"]:
            browser.devtools("Emulation.setEmulatedMedia",
                             features=[{"name": "prefers-color-scheme", "value": scheme}])
            back = browser.run("return getComputedStyle(document.body).backgroundColor")
            check((back == "rgb(255, 255, 255)") == (scheme == "light"), f"{scheme}: the page is {back}")
            # Letters that are read on what is behind them.
            pale = browser.run("""
              const parts = text => text.match(/[\\d.]+/g).map(Number);
              const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
                .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
                .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
              const behind = of => {
                for (; of; of = of.parentElement) {
                  const colour = parts(getComputedStyle(of).backgroundColor);
                  if (colour.length < 4 || colour[3] > 0) return colour;
                }
                return [255, 255, 255];
              };
              const pale = [];
              for (const of of document.querySelectorAll('h1, h2, p, td, th, dt, dd, a, caption, li, figcaption')) {
                const [a, b] = [light(parts(getComputedStyle(of).color)), light(behind(of))];
                const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
                if (of.textContent.trim() && contrast < 4.5) pale.push(of.tagName + ' ' + of.className + ' ' + contrast.toFixed(2));
              }
              return [...new Set(pale)];""")
            check(not pale, f"{scheme}: too little contrast in {pale}")
            shot = browser.devtools("Page.captureScreenshot", captureBeyondViewport=False)["data"]
            (pictures / f"{page.stem}-{width}-{scheme}.png").write_bytes(base64.b64decode(shot))


with tempfile.TemporaryDirectory() as profile:
    browser = Browser(profile)
    try:
        look(browser)
    finally:
        browser.close()
for fault in faults:
    print(fault)
sys.exit(1 if faults else 0)
