//! The smallest browser: one request a connection, a cookie that is kept, nothing followed. For load; looks are another's.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::Context as _;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(40);

/// A browser at one address.
#[derive(Clone, Debug)]
pub struct Browser {
    address: SocketAddr,
    /// The cookie that it holds, as `name=value`.
    pub cookie: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub struct Page {
    /// The status code.
    pub code: u16,
    /// The body.
    pub body: String,
}

impl Page {
    /// The text of the element with this id.
    ///
    /// # Errors
    /// When there is none.
    pub fn text(&self, id: &str) -> anyhow::Result<String> {
        let element =
            self.body.split_once(&format!("id=\"{id}\"")).with_context(|| format!("no {id} on the page\n{}", self.body))?.1;
        let inside = element.split_once('>').map_or("", |(_, inside)| inside);
        Ok(inside.split('<').next().unwrap_or_default().trim().to_owned())
    }
}

impl Browser {
    /// A browser without a cookie.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, cookie: None }
    }

    /// Gets a page.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn get(&mut self, path: &str) -> anyhow::Result<Page> {
        self.send(&format!("GET {path}"), "")
    }

    /// Sends a form.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn post(&mut self, path: &str, form: &str) -> anyhow::Result<Page> {
        self.send(&format!("POST {path}"), form)
    }

    fn send(&mut self, what: &str, form: &str) -> anyhow::Result<Page> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(5)).context("cannot connect")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let cookie = self.cookie.as_ref().map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
        let request = format!(
            "{what} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nConnection: close\r\nUser-Agent: load\r\n{cookie}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len(),
            host = self.address,
        );
        stream.write_all(request.as_bytes()).context("cannot send")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("cannot read the answer")?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status")?;
        let set = head.lines().find(|line| line.to_ascii_lowercase().starts_with("set-cookie:"));
        if let Some(cookie) = set.and_then(|line| line.split_once(':')).and_then(|(_, value)| value.trim().split(';').next()) {
            self.cookie = Some(cookie.to_owned());
        }
        Ok(Page { code, body: body.to_owned() })
    }
}
