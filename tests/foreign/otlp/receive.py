# Takes what a collector takes, and reads it with the official classes. Prints its port; `GET /received` tells what came.
# The first part of the path says how it answers: `taken`, `refused` (400), `broken` (500), `busy` (503 twice, then taken), `hang`.
import json
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest, ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

lock, received, attempts = threading.Lock(), [], Counter()


def value(any_value):
    kind = any_value.WhichOneof('value')
    if kind == 'kvlist_value':
        return attributes(any_value.kvlist_value.values)
    if kind == 'array_value':
        return [value(one) for one in any_value.array_value.values]
    return getattr(any_value, kind) if kind else None


def attributes(pairs):
    all_of_them = {pair.key: value(pair.value) for pair in pairs}
    assert len(all_of_them) == len(pairs), f'an attribute twice: {pairs}'
    return all_of_them


def spans(request):
    for of_resource in request.resource_spans:
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                assert (len(span.trace_id), len(span.span_id)) == (16, 8) and any(span.trace_id) and any(span.span_id)
                assert len(span.parent_span_id) in (0, 8)
                assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
                yield {
                    'resource': attributes(of_resource.resource.attributes),
                    'scope': of_scope.scope.name,
                    'trace': span.trace_id.hex(),
                    'span': span.span_id.hex(),
                    'parent': span.parent_span_id.hex(),
                    'state': span.trace_state,
                    'flags': span.flags,
                    'name': span.name,
                    'kind': Span.SpanKind.Name(span.kind),
                    'began': span.start_time_unix_nano,
                    'ended': span.end_time_unix_nano,
                    'attributes': attributes(span.attributes),
                    'links': [{'trace': link.trace_id.hex(), 'span': link.span_id.hex()} for link in span.links],
                    'status': Status.StatusCode.Name(span.status.code),
                    'message': span.status.message,
                }


def points(metric):
    kind = metric.WhichOneof('data')
    for point in getattr(metric, kind).data_points:
        one = {'attributes': attributes(point.attributes), 'began': point.start_time_unix_nano, 'at': point.time_unix_nano}
        if kind == 'histogram':
            assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
            assert sum(point.bucket_counts) == point.count
            yield one | {'count': point.count, 'sum': point.sum, 'bounds': list(point.explicit_bounds), 'buckets': list(point.bucket_counts)}
        else:
            yield one | {'value': getattr(point, point.WhichOneof('value'))}


def metrics(request):
    for of_resource in request.resource_metrics:
        for of_scope in of_resource.scope_metrics:
            names = [metric.name for metric in of_scope.metrics]
            assert len(set(names)) == len(names), f'a metric twice: {names}'
            for metric in of_scope.metrics:
                kind = metric.WhichOneof('data')
                data = getattr(metric, kind)
                temporality = AggregationTemporality.Name(data.aggregation_temporality) if kind != 'gauge' else None
                yield {
                    'resource': attributes(of_resource.resource.attributes),
                    'name': metric.name,
                    'unit': metric.unit,
                    'description': metric.description,
                    'kind': kind,
                    'temporality': temporality,
                    'monotonic': kind == 'sum' and data.is_monotonic,
                    'points': list(points(metric)),
                }


def logs(request):
    for of_resource in request.resource_logs:
        for of_scope in of_resource.scope_logs:
            for record in of_scope.log_records:
                assert len(record.trace_id) in (0, 16)
                yield {
                    'resource': attributes(of_resource.resource.attributes),
                    'at': record.time_unix_nano,
                    'observed': record.observed_time_unix_nano,
                    'severity': SeverityNumber.Name(record.severity_number),
                    'severity_text': record.severity_text,
                    'event': record.event_name,
                    'body': value(record.body),
                    'attributes': attributes(record.attributes),
                    'trace': record.trace_id.hex(),
                }


TAKES = {
    'traces': (ExportTraceServiceRequest, ExportTraceServiceResponse, spans),
    'metrics': (ExportMetricsServiceRequest, ExportMetricsServiceResponse, metrics),
    'logs': (ExportLogsServiceRequest, ExportLogsServiceResponse, logs),
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def answer(self, status, body=b'', kind='application/x-protobuf'):
        self.send_response(status)
        self.send_header('content-type', kind)
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        with lock:
            body = json.dumps(received).encode()
        self.answer(200, body, 'application/json')

    def do_POST(self):
        body = self.rfile.read(int(self.headers['content-length']))
        how, version, signal = self.path.strip('/').split('/')
        assert version == 'v1' and self.headers['content-type'] == 'application/x-protobuf'
        takes, gives, read = TAKES[signal]
        message = takes()
        message.ParseFromString(body)
        size = message.ByteSize()
        message.DiscardUnknownFields()
        assert message.ByteSize() == size, 'there is something that the classes do not know'
        with lock:
            attempts[how] += 1
            is_taken = how == 'taken' or (how == 'busy' and attempts[how] > 2)
            headers = {name.lower(): said for name, said in self.headers.items()}
            received.append({'how': how, 'signal': signal, 'headers': headers, 'is_taken': is_taken, 'all': list(read(message))})
        if how == 'hang':
            time.sleep(600)
        self.answer(200 if is_taken else {'refused': 400, 'busy': 503}.get(how, 500), gives().SerializeToString() if is_taken else b'')


server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
server.daemon_threads = True
print(server.server_address[1], flush=True)
# It ends with whoever started it.
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
