//! Why there is no answer, by what the caller does next.

use std::error::Error;
use std::io;

use serde_json::Value;
use tokio_rustls::rustls;

use super::Listener;

/// Why a server was not asked, or gave no answer. Each text says the next step.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// The command line, or the question, says what it cannot say.
    Usage(String),
    /// There is no such thing.
    NotFound(String),
    /// The server does not know the key, or does not let it do this.
    Refused(String),
    /// No server, or one that does not answer this.
    Unavailable(String),
}

impl std::fmt::Display for ClientError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Usage(text) | Self::NotFound(text) | Self::Refused(text) | Self::Unavailable(text) => {
                out.write_str(text)
            }
        }
    }
}

impl Error for ClientError {}

/// What a failed connection to `base` means.
pub(super) fn unreachable(base: &str, listener: Listener, error: &(dyn Error + 'static)) -> ClientError {
    if let Some(text) = causes(error).find_map(tls_trouble) {
        return ClientError::Unavailable(format!("{base} {text}"));
    }
    let kind = causes(error).find_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()));
    let name = listener.another();
    let text = match kind {
        Some(io::ErrorKind::ConnectionRefused) => {
            format!("no server answers at {base}: start one with `agenttracer serve`, or {name}")
        }
        Some(io::ErrorKind::TimedOut) => format!("{base} cannot be reached within 10 s: {name}"),
        _ if causes(error).any(|cause| cause.to_string().contains("dns error")) => {
            format!("the name in {base} is not known: {name}")
        }
        _ => {
            // The innermost says what happened; the others that something did.
            let cause = causes(error).last().map(ToString::to_string).unwrap_or_default();
            let tls = match base.starts_with("http://") {
                true => "; if it speaks TLS, write https://",
                false => "; if it does not speak TLS: write http://",
            };
            format!("{base} gave no answer ({cause}){tls}")
        }
    };
    ClientError::Unavailable(text)
}

/// An error and its causes.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// What stands behind `BASE ` when TLS is the trouble.
fn tls_trouble(cause: &(dyn Error + 'static)) -> Option<String> {
    use rustls::CertificateError;
    // Such an error hides in one of I/O, which names only the causes of what it holds.
    let error = match cause.downcast_ref::<io::Error>() {
        Some(error) => hidden(error)?,
        None => cause.downcast_ref::<rustls::Error>()?,
    };
    let text = match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "has a certificate that is not trusted here: name the file of its authority, or the certificate itself when it signed \
             itself, with --ca FILE / AGENTTRACER_CA"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "has a certificate for another name: name the server as its certificate does".to_owned(),
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "has a certificate that has expired: renew it; a server reads it again by itself".to_owned()
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "has a certificate that is not valid yet: look at the clocks".to_owned(),
        rustls::Error::InvalidCertificate(error) if format!("{error:?}").contains("CaUsedAsEndEntity") => {
            "shows the certificate of an authority, which none may use as its own: make one that says CA:FALSE \
             (openssl req -x509 -addext basicConstraints=critical,CA:FALSE ..)"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(error) => format!("has a certificate that is not valid: {error}"),
        rustls::Error::InvalidMessage(_) => "does not speak TLS: write http://".to_owned(),
        error => format!("could not be spoken to by TLS: {error}"),
    };
    Some(text)
}

/// The error of TLS that one of I/O holds, or one that it holds.
fn hidden(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    inner.downcast_ref::<rustls::Error>().or_else(|| hidden(inner.downcast_ref::<io::Error>()?))
}

/// What the server says of a question that is not well put: which parameter, and what it should be.
pub(super) fn what_is_wrong(refusal: &Value) -> String {
    let detail = refusal.get("detail").and_then(Value::as_array);
    let errors = detail.into_iter().flatten().map(|error| {
        let name = error.get("loc").and_then(|loc| loc.get(1)).and_then(Value::as_str).unwrap_or("question");
        let msg = error.get("msg").and_then(Value::as_str).unwrap_or("is not understood");
        match name {
            "agent_id" => format!("--agent-id: {msg}"),
            "q" => format!("search line, {msg}"),
            name => format!("{name}: {msg}"),
        }
    });
    let text = errors.collect::<Vec<_>>().join("; ");
    if text.is_empty() { "the server does not understand the question".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_question_names_its_parameters() {
        let refusal = serde_json::json!({"detail": [
            {"loc": ["query", "agent_id"], "msg": "Field required"},
            {"loc": ["query", "q"], "msg": "column 3: there is no such field"},
            {"loc": ["query", "order"], "msg": "Input should be 'asc' or 'desc'"},
        ]});
        assert_eq!(
            what_is_wrong(&refusal),
            "--agent-id: Field required; search line, column 3: there is no such field; \
             order: Input should be 'asc' or 'desc'"
        );
        assert_eq!(what_is_wrong(&Value::Null), "the server does not understand the question");
    }
}
