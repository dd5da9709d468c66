package tidings.interop;

import com.fasterxml.jackson.databind.JsonNode;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.rsocket.DuplexConnection;
import io.rsocket.RSocketErrorException;
import io.rsocket.core.RSocketConnector;
import io.rsocket.frame.FrameHeaderCodec;
import io.rsocket.frame.FrameType;
import io.rsocket.frame.KeepAliveFrameCodec;
import io.rsocket.plugins.DuplexConnectionInterceptor.Type;
import java.net.SocketAddress;
import java.time.Duration;
import reactor.core.publisher.Flux;
import reactor.core.publisher.Mono;

/** What both drivers set on rsocket-java's connector. */
final class Connector {
  private static final int PENDING_REQUESTS = 256; // that wait for the first lease

  private Connector() {}

  static void configure(RSocketConnector connector, JsonNode setup, Driver.Events events) {
    connector.keepAlive(
        Duration.ofMillis(setup.get("keepaliveMs").asLong()), Duration.ofMillis(setup.get("lifetimeMs").asLong()));
    if (setup.has("fragmentBytes")) connector.fragment(setup.get("fragmentBytes").asInt());
    if (setup.path("leases").asBoolean()) connector.lease(spec -> spec.maxPendingRequests(PENDING_REQUESTS));
    connector.interceptors(
        registry -> registry.forConnection((type, connection) -> type == Type.SOURCE ? new Heard(connection, events) : connection));
  }

  /** Tells of every KEEPALIVE that comes. */
  private record Heard(DuplexConnection connection, Driver.Events events) implements DuplexConnection {
    @Override
    public Flux<ByteBuf> receive() {
      return connection.receive().doOnNext(frame -> {
        if (FrameHeaderCodec.frameType(frame) == FrameType.KEEPALIVE) {
          events.keepalive(KeepAliveFrameCodec.respondFlag(frame));
        }
      });
    }

    @Override
    public void sendFrame(int streamId, ByteBuf frame) {
      connection.sendFrame(streamId, frame);
    }

    @Override
    public void sendErrorAndClose(RSocketErrorException error) {
      connection.sendErrorAndClose(error);
    }

    @Override
    public ByteBufAllocator alloc() {
      return connection.alloc();
    }

    @Override
    public SocketAddress remoteAddress() {
      return connection.remoteAddress();
    }

    @Override
    public Mono<Void> onClose() {
      return connection.onClose();
    }

    @Override
    public void dispose() {
      connection.dispose();
    }

    @Override
    public boolean isDisposed() {
      return connection.isDisposed();
    }
  }
}
