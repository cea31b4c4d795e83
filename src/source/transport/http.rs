//! `https://`: smart HTTP as gitprotocol-http(5) has it, with the certificate checked.
//!
//! Trusted are the authorities that are compiled in, or, where the environment has `SSL_CERT_FILE`, those in that
//! file and no others. `http://` is for this machine only (see `address`).

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use ureq::http::StatusCode;
use ureq::tls::{PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body, ResponseExt};

use super::super::SourceError;
use super::Budget;
use super::upload_pack::Connection;

const SERVICE: &str = "/info/refs?service=git-upload-pack";

/// A repository behind HTTP.
pub(super) struct Http {
    agent: Agent,
    /// Without the final slash; after a redirection, where that led.
    url: String,
}

impl Http {
    pub(super) fn new(url: &str, certificates: Option<&Path>, budget: &Budget) -> Result<Self, SourceError> {
        let tls = TlsConfig::builder().root_certs(roots(certificates, budget)?).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            // A redirection never leads out of https.
            .https_only(url.starts_with("https://"))
            .http_status_as_error(false)
            .max_redirects(3)
            .timeout_connect(Some(std::time::Duration::from_secs(20)))
            .timeout_global(Some(budget.time_left()))
            .user_agent(concat!("git/shoestring-", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { agent: config.new_agent(), url: url.to_owned() })
    }
}

impl Connection for Http {
    fn advertisement(&mut self, budget: &Budget) -> Result<Box<dyn Read + '_>, SourceError> {
        let response =
            self.agent.get(format!("{}{SERVICE}", self.url)).call().map_err(|error| failed(error, budget))?;
        // Where a redirection led, the request goes too, as with git itself.
        if let Some(url) = response.get_uri().to_string().strip_suffix(SERVICE) {
            url.clone_into(&mut self.url);
        }
        let mut body = body(response, "advertisement", budget)?;
        // One packet that names the service, and a flush packet, come before what `upload-pack` itself says.
        let mut first = [0; 4 + 26 + 4];
        body.read_exact(&mut first).map_err(|error| budget.unreachable(error))?;
        if &first != b"001e# service=git-upload-pack\n0000" {
            return Err(budget.protocol("its first packet is not that of git-upload-pack"));
        }
        Ok(Box::new(body))
    }

    fn request(&mut self, request: &[u8], budget: &Budget) -> Result<Box<dyn Read + '_>, SourceError> {
        let response = self
            .agent
            .post(format!("{}/git-upload-pack", self.url))
            .config()
            .max_redirects(0)
            .timeout_global(Some(budget.time_left()))
            .build()
            .content_type("application/x-git-upload-pack-request")
            .header("accept", "application/x-git-upload-pack-result")
            .send(request)
            .map_err(|error| failed(error, budget))?;
        Ok(Box::new(body(response, "result", budget)?))
    }
}

fn body(
    response: ureq::http::Response<Body>,
    kind: &str,
    budget: &Budget,
) -> Result<impl Read + 'static, SourceError> {
    let status = response.status();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(budget.unreachable(format!("it answers {status}")));
    }
    if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND, StatusCode::GONE]
        .contains(&status)
    {
        return Err(budget.denied(format!("it answers {status}")));
    }
    if !status.is_success() {
        return Err(budget.protocol(format!("it answers {status}")));
    }
    let expected = format!("application/x-git-upload-pack-{kind}");
    let found =
        response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("nothing");
    if found != expected {
        return Err(budget.protocol(format!("it sends {found} where {expected} is expected")));
    }
    Ok(response.into_body().into_reader())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the errors of ureq may grow")]
fn failed(error: ureq::Error, budget: &Budget) -> SourceError {
    match error {
        // A certificate that is not trusted stays so until somebody changes something.
        ureq::Error::Rustls(error) => budget.denied(untrusted(&error.to_string())),
        ureq::Error::Io(error) if is_tls(&error) => budget.denied(untrusted(&error.to_string())),
        ureq::Error::TooManyRedirects | ureq::Error::RequireHttpsOnly(_) => budget.protocol(error),
        error => budget.unreachable(error),
    }
}

/// An error of TLS may come as one of the connection.
fn is_tls(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::InvalidData
}

fn untrusted(error: &str) -> String {
    format!(
        "the connection cannot be trusted: {error} (SSL_CERT_FILE names the authorities to trust instead of those built in)"
    )
}

fn roots(certificates: Option<&Path>, budget: &Budget) -> Result<RootCerts, SourceError> {
    let Some(path) = certificates else { return Ok(RootCerts::WebPki) };
    let failed = |why: String| {
        let why = format!("SSL_CERT_FILE: {}: {why}", path.display());
        budget.denied(why)
    };
    let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let mut certificates = Vec::new();
    for item in ureq::tls::parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| failed(error.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(failed("there is no certificate in it".to_owned()));
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}
