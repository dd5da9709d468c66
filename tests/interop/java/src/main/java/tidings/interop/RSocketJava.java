package tidings.interop;

import com.fasterxml.jackson.databind.JsonNode;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.rsocket.Payload;
import io.rsocket.RSocket;
import io.rsocket.core.RSocketConnector;
import io.rsocket.metadata.AuthMetadataCodec;
import io.rsocket.metadata.CompositeMetadataCodec;
import io.rsocket.metadata.TaggingMetadataCodec;
import io.rsocket.metadata.WellKnownMimeType;
import io.rsocket.transport.ClientTransport;
import io.rsocket.transport.netty.client.TcpClientTransport;
import io.rsocket.transport.netty.client.WebsocketClientTransport;
import io.rsocket.util.DefaultPayload;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.List;
import reactor.core.publisher.Flux;
import reactor.core.publisher.Mono;

/** rsocket-java, as the driver wants it. */
final class RSocketJava implements Driver.Socket {
  private static final String PROTOBUF = "application/octet-stream";

  private final RSocket socket;
  private final String dataMime;

  private RSocketJava(RSocket socket, String dataMime) {
    this.socket = socket;
    this.dataMime = dataMime;
  }

  public static void main(String[] arguments) throws Exception {
    new Driver(RSocketJava::connect).run();
  }

  private static Driver.Socket connect(URI url, JsonNode setup, Driver.Events events) {
    var dataMime = setup.path("dataMime").asText(PROTOBUF);
    var connector = RSocketConnector.create()
        .dataMimeType(dataMime)
        .metadataMimeType(WellKnownMimeType.MESSAGE_RSOCKET_COMPOSITE_METADATA.getString());
    if (setup.has("auth")) connector.setupPayload(payload(new byte[0], metadata(null, null, setup.get("auth"))));
    Connector.configure(connector, setup, events);
    ClientTransport transport = url.getScheme().equals("ws")
        ? WebsocketClientTransport.create(url)
        : TcpClientTransport.create(url.getHost(), url.getPort());
    var socket = connector.connect(transport).block();
    socket.onClose().subscribe(nothing -> {}, events::closed, () -> events.closed(null));
    return new RSocketJava(socket, dataMime);
  }

  private String mime(Driver.Request request) {
    return request.mime() == null ? dataMime : request.mime();
  }

  private Payload payload(Driver.Request request) throws Exception {
    return payload(
        Contract.write(request.route(), mime(request), request.message()),
        metadata(request.route(), request.mime(), request.auth()));
  }

  private JsonNode read(Driver.Request request, Payload payload) {
    try {
      return Contract.read(request.route(), mime(request), ByteBufUtil.getBytes(payload.sliceData()));
    } catch (Exception error) {
      throw new IllegalStateException(error);
    } finally {
      payload.release();
    }
  }

  @Override
  public Mono<JsonNode> call(Driver.Request request) throws Exception {
    return socket.requestResponse(payload(request)).map(payload -> read(request, payload));
  }

  @Override
  public Mono<Void> fire(Driver.Request request) throws Exception {
    return socket.fireAndForget(payload(request));
  }

  @Override
  public Flux<JsonNode> stream(Driver.Request request) throws Exception {
    return socket.requestStream(payload(request)).map(payload -> read(request, payload));
  }

  @Override
  public Flux<JsonNode> channel(Driver.Request request, Flux<JsonNode> commands) {
    var payloads = commands.index().map(command -> {
      try {
        var data = Contract.write(request.route(), mime(request), command.getT2());
        return command.getT1() == 0
            ? payload(data, metadata(request.route(), request.mime(), request.auth()))
            : DefaultPayload.create(data);
      } catch (Exception error) {
        throw new IllegalStateException(error);
      }
    });
    return socket.requestChannel(payloads).map(payload -> read(request, payload));
  }

  @Override
  public void close() {
    socket.dispose();
  }

  private static Payload payload(byte[] data, ByteBuf metadata) {
    return DefaultPayload.create(Unpooled.wrappedBuffer(data), metadata);
  }

  private static ByteBuf metadata(String route, String mime, JsonNode auth) {
    var allocator = ByteBufAllocator.DEFAULT;
    var composite = allocator.compositeBuffer();
    if (route != null) {
      add(composite, WellKnownMimeType.MESSAGE_RSOCKET_ROUTING,
          TaggingMetadataCodec.createRoutingMetadata(allocator, List.of(route)).getContent());
    }
    if (mime != null) {
      var id = WellKnownMimeType.fromString(mime).getIdentifier();
      add(composite, WellKnownMimeType.MESSAGE_RSOCKET_MIMETYPE, Unpooled.wrappedBuffer(new byte[] {(byte) (0x80 | id)}));
    }
    if (auth != null && !auth.isNull()) {
      add(composite, WellKnownMimeType.MESSAGE_RSOCKET_AUTHENTICATION, auth.has("token")
          ? AuthMetadataCodec.encodeBearerMetadata(allocator, auth.get("token").asText().toCharArray())
          : AuthMetadataCodec.encodeSimpleMetadata(
              allocator, auth.get("user").asText().toCharArray(), auth.get("password").asText().toCharArray()));
    }
    return composite;
  }

  private static void add(io.netty.buffer.CompositeByteBuf composite, WellKnownMimeType type, ByteBuf content) {
    CompositeMetadataCodec.encodeAndAddMetadata(composite, ByteBufAllocator.DEFAULT, type, content);
  }
}
