use prometheus::{Encoder, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder};

/// What the read side counts of itself. Labels hold the name of an endpoint and a status, never a value of a request.
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
}

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// When `registry` has them already.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new("agenttracer_query_requests_total", "Requests answered by the query API."),
            &["endpoint", "status"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new("agenttracer_query_seconds", "Seconds from a request's arrival to its answer.").buckets(
                vec![0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.5, 2.0],
            ),
            &["endpoint"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self { registry: registry.clone(), requests, seconds })
    }

    /// Counts one answer.
    pub(crate) fn answered(&self, endpoint: &'static str, status: u16, seconds: f64) {
        let mut digits = [0; 3];
        self.requests.with_label_values(&[endpoint, status_text(status, &mut digits)]).inc();
        self.seconds.with_label_values(&[endpoint]).observe(seconds);
    }

    /// Everything in the registry, as Prometheus reads it, and the content type of that.
    ///
    /// # Errors
    /// When a collector gives something that cannot be written.
    pub(crate) fn text(&self) -> Result<(String, Vec<u8>), prometheus::Error> {
        let encoder = TextEncoder::new();
        let mut text = Vec::new();
        encoder.encode(&self.registry.gather(), &mut text)?;
        Ok((encoder.format_type().to_owned(), text))
    }
}

/// The three digits of an HTTP status, without an allocation for each request.
fn status_text(status: u16, digits: &mut [u8; 3]) -> &str {
    for (digit, unit) in digits.iter_mut().zip([100, 10, 1]) {
        *digit = b'0' + u8::try_from(status / unit % 10).unwrap_or(0);
    }
    std::str::from_utf8(digits).unwrap_or("000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_endpoint_and_status() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        metrics.answered("runs", 200, 0.001);
        metrics.answered("runs", 200, 0.002);
        metrics.answered("run", 404, 0.001);
        let text = String::from_utf8(metrics.text().unwrap().1).unwrap();
        assert!(text.contains("agenttracer_query_requests_total{endpoint=\"runs\",status=\"200\"} 2"), "{text}");
        assert!(text.contains("agenttracer_query_requests_total{endpoint=\"run\",status=\"404\"} 1"), "{text}");
        assert!(text.contains("agenttracer_query_seconds_count{endpoint=\"runs\"} 2"), "{text}");
        assert!(Metrics::new(&registry).is_err());
    }
}
