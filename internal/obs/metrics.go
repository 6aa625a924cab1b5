package obs

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the numbers that a monitoring system reads from this process. No
// label may have values that grow without bound, such as users, keys or calls.
// A nil one takes everything and shows nothing. It is safe for concurrent use.
type Metrics struct{ registry *prometheus.Registry }

// namespace begins the name of every metric that is ours.
const namespace = "rephlo"

// NewMetrics returns Metrics with what the Go runtime and the system know of
// the process.
func NewMetrics(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.Gauge("build_info", "The release that runs; always 1.", []string{"version"}, func(emit Emit) { emit(1, version) })
	return m
}

// Handler shows the metrics in the formats of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Timeout: 10 * time.Second, MaxRequestsInFlight: 4, EnableOpenMetrics: true})
}

// Histogram counts how often a value fell where; observing takes no lock and
// allocates nothing.
type Histogram struct{ prometheus.Observer }

// Seconds observes a duration.
func (h Histogram) Seconds(d time.Duration) { h.Observe(d.Seconds()) }

// Exemplar observes a duration, of which the trace with this id is an example;
// "" for none.
func (h Histogram) Exemplar(d time.Duration, trace string) {
	if o, ok := h.Observer.(prometheus.ExemplarObserver); ok && trace != "" {
		o.ObserveWithExemplar(d.Seconds(), prometheus.Labels{"trace_id": trace})
		return
	}
	h.Seconds(d)
}

// Latencies are the bounds of a histogram in seconds, from a microsecond to ten
// seconds.
var Latencies = []float64{
	1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, .1, .25, .5, 1, 2.5, 5, 10,
}

// Label tells metrics of one name apart.
type Label struct{ Name, Value string }

// Histogram registers a histogram with the upper bounds of its buckets.
func (m *Metrics) Histogram(name, help string, bounds []float64, constant ...Label) Histogram {
	labels := prometheus.Labels{}
	for _, l := range constant {
		labels[l.Name] = l.Value
	}
	h := prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: bounds, ConstLabels: labels,
	})
	m.register(h)
	return Histogram{h}
}

// Emit gives the current value for some label values.
type Emit func(value float64, labels ...string)

// Counter registers a number that only grows, read when somebody asks.
func (m *Metrics) Counter(name, help string, labels []string, read func(Emit)) {
	m.read(name, help, labels, prometheus.CounterValue, read)
}

// Gauge registers a number that goes up and down, read when somebody asks.
func (m *Metrics) Gauge(name, help string, labels []string, read func(Emit)) {
	m.read(name, help, labels, prometheus.GaugeValue, read)
}

func (m *Metrics) read(name, help string, labels []string, kind prometheus.ValueType, read func(Emit)) {
	m.register(reader{
		desc: prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil), kind: kind, read: read,
	})
}

func (m *Metrics) register(c prometheus.Collector) {
	if m != nil {
		m.registry.MustRegister(c)
	}
}

// reader is a metric that is read when somebody asks.
type reader struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(Emit)
}

// Describe implements prometheus.Collector.
func (r reader) Describe(to chan<- *prometheus.Desc) { to <- r.desc }

// Collect implements prometheus.Collector.
func (r reader) Collect(to chan<- prometheus.Metric) {
	r.read(func(value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(r.desc, r.kind, value, labels...)
	})
}
