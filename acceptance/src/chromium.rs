//! Chromium without a screen, driven over WebDriver: what a person sees and clicks. Screenshots are kept below `out/screenshots`.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::Context as _;
use fantoccini::{Client, ClientBuilder, Locator, elements::Element, error::CmdError};
use serde_json::json;

use crate::program::{Program, Started, start};

/// How long a page may take to show what is looked for.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running browser.
pub struct Chromium {
    client: Client,
    runtime: tokio::runtime::Runtime,
    _driver: Started,
}

impl Chromium {
    /// Starts the driver and a browser.
    ///
    /// # Errors
    /// When they are not installed or do not start.
    pub fn start() -> anyhow::Result<Self> {
        const PORT: u16 = 9515;
        let driver = start(Program::new("chromedriver").arguments([format!("--port={PORT}")]))
            .context("chromedriver is needed: apt-get install chromium-driver")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let options = json!({"goog:chromeOptions": {
            "binary": "/usr/bin/chromium",
            "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1100,900"],
        }});
        let capabilities = options.as_object().cloned().unwrap_or_default();
        let connect = || {
            let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
            builder.capabilities(capabilities.clone());
            let connected = runtime.block_on(builder.connect(&format!("http://127.0.0.1:{PORT}")));
            connected.context("chromium does not start")
        };
        let client = crate::within(Duration::from_secs(30), connect)?;
        Ok(Self { client, runtime, _driver: driver })
    }

    /// Opens an address.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(&self, url: &str) -> anyhow::Result<()> {
        self.runtime.block_on(self.client.goto(url)).with_context(|| format!("cannot open {url}"))
    }

    /// The text of the element with this id.
    ///
    /// # Errors
    /// When there is none.
    pub fn text(&self, id: &str) -> anyhow::Result<String> {
        self.runtime
            .block_on(async { self.find(Locator::Id(id)).await?.text().await })
            .with_context(|| format!("no {id} on the page"))
    }

    /// Types into the field with this id.
    ///
    /// # Errors
    /// When there is none.
    pub fn type_into(&self, id: &str, text: &str) -> anyhow::Result<()> {
        let typed = self.runtime.block_on(async { self.find(Locator::Id(id)).await?.send_keys(text).await });
        typed.with_context(|| format!("cannot type into {id}"))
    }

    /// Clicks on what the CSS selector finds first.
    ///
    /// # Errors
    /// When it finds nothing.
    pub fn click(&self, selector: &str) -> anyhow::Result<()> {
        let clicked = self.runtime.block_on(async { self.find(Locator::Css(selector)).await?.click().await });
        clicked.with_context(|| format!("cannot click on {selector}"))
    }

    /// The value of a cookie.
    ///
    /// # Errors
    /// When there is none.
    pub fn cookie(&self, name: &str) -> anyhow::Result<String> {
        let cookie = self.runtime.block_on(self.client.get_named_cookie(name)).with_context(|| format!("no cookie {name}"))?;
        Ok(cookie.value().to_owned())
    }

    /// Waits until the browser is at this path: a click returns before the page that it leads to is there.
    ///
    /// # Errors
    /// When it stays elsewhere.
    pub fn arrives(&self, path: &str) -> anyhow::Result<()> {
        crate::within(PATIENCE, || {
            let at = self.runtime.block_on(self.client.current_url())?;
            anyhow::ensure!(at.path() == path, "the browser is at {}, not at {path}", at.path());
            Ok(())
        })
    }

    /// An element, as soon as the page has it.
    async fn find(&self, locator: Locator<'_>) -> Result<Element, CmdError> {
        self.client.wait().at_most(PATIENCE).for_element(locator).await
    }

    /// Keeps a picture of the page.
    ///
    /// # Errors
    /// When it cannot be taken or written.
    pub fn screenshot(&self, name: &str) -> anyhow::Result<()> {
        let picture = self.runtime.block_on(self.client.screenshot()).context("cannot take a picture")?;
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../out/screenshots"));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("{name}.png")), picture).context("cannot keep the picture")
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // The driver ends its browsers when a session is closed, not when it is killed.
        let _ = self.runtime.block_on(self.client.clone().close());
    }
}
