package tidings.interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.google.protobuf.Message;
import io.rsocket.RSocket;
import io.rsocket.metadata.WellKnownMimeType;
import java.net.URI;
import org.springframework.boot.Banner;
import org.springframework.boot.WebApplicationType;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.autoconfigure.security.rsocket.RSocketSecurityAutoConfiguration;
import org.springframework.boot.builder.SpringApplicationBuilder;
import org.springframework.core.codec.Encoder;
import org.springframework.http.codec.protobuf.ProtobufDecoder;
import org.springframework.http.codec.protobuf.ProtobufEncoder;
import org.springframework.messaging.rsocket.RSocketRequester;
import org.springframework.security.rsocket.metadata.BearerTokenAuthenticationEncoder;
import org.springframework.security.rsocket.metadata.BearerTokenMetadata;
import org.springframework.security.rsocket.metadata.SimpleAuthenticationEncoder;
import org.springframework.security.rsocket.metadata.UsernamePasswordMetadata;
import org.springframework.util.MimeType;
import reactor.core.publisher.Flux;
import reactor.core.publisher.Mono;

/**
 * Spring Boot's RSocketRequester, as the driver wants it: messages go through Spring's own codecs, Jackson for JSON and
 * Protobuf for the generated classes.
 */
final class SpringRequester implements Driver.Socket {
  private static final MimeType AUTHENTICATION = type(WellKnownMimeType.MESSAGE_RSOCKET_AUTHENTICATION.getString());
  private static final MimeType DATA_TYPE = type(WellKnownMimeType.MESSAGE_RSOCKET_MIMETYPE.getString());
  private static final String PROTOBUF = "application/x-protobuf";

  private final RSocketRequester requester;
  private final String dataMime;
  private final RSocket socket;

  private SpringRequester(RSocketRequester requester, String dataMime, RSocket socket) {
    this.requester = requester;
    this.dataMime = dataMime;
    this.socket = socket;
  }

  public static void main(String[] arguments) throws Exception {
    var context = new SpringApplicationBuilder(Application.class)
        .web(WebApplicationType.NONE)
        .bannerMode(Banner.Mode.OFF)
        .logStartupInfo(false)
        .run(arguments);
    new Driver((url, setup, events) -> connect(context.getBean(RSocketRequester.Builder.class), url, setup, events)).run();
  }

  /** What a Spring Boot program has; the builder comes from its auto-configuration. */
  @SpringBootApplication(exclude = RSocketSecurityAutoConfiguration.class) // it is for servers, and wants more beans
  static class Application {}

  private static Driver.Socket connect(
      RSocketRequester.Builder builder, URI url, JsonNode setup, Driver.Events events) {
    var dataMime = setup.path("dataMime").asText(PROTOBUF);
    var auth = setup.get("auth");
    builder
        .dataMimeType(type(dataMime)) // without it Spring Boot speaks CBOR
        .rsocketStrategies(strategies -> strategies
            .encoder(authenticationEncoder(auth)) // one of them only: both claim the same MIME type
            .encoder(new ProtobufEncoder())
            .decoder(new ProtobufDecoder()))
        .rsocketConnector(connector -> Connector.configure(connector, setup, events));
    if (auth != null) builder.setupMetadata(credentials(auth), AUTHENTICATION);
    var requester = url.getScheme().equals("ws") ? builder.websocket(url) : builder.tcp(url.getHost(), url.getPort());
    var socket = requester.rsocketClient().source().block();
    socket.onClose().subscribe(nothing -> {}, events::closed, () -> events.closed(null));
    return new SpringRequester(requester, dataMime, socket);
  }

  private static Encoder<?> authenticationEncoder(JsonNode auth) {
    return auth != null && auth.has("token") ? new BearerTokenAuthenticationEncoder() : new SimpleAuthenticationEncoder();
  }

  private static Object credentials(JsonNode auth) {
    return auth.has("token")
        ? new BearerTokenMetadata(auth.get("token").asText())
        : new UsernamePasswordMetadata(auth.get("user").asText(), auth.get("password").asText());
  }

  private static MimeType type(String name) {
    return MimeType.valueOf(name);
  }

  private RSocketRequester.RequestSpec ask(Driver.Request request) {
    var spec = requester.route(request.route());
    if (request.auth() != null) spec = spec.metadata(credentials(request.auth()), AUTHENTICATION);
    if (request.mime() != null) {
      var id = WellKnownMimeType.fromString(request.mime()).getIdentifier();
      spec = spec.metadata(new byte[] {(byte) (0x80 | id)}, DATA_TYPE);
    }
    return spec;
  }

  /** What Spring's codecs take: a tree for JSON, a generated message for Protobuf, bytes for another type than the connection's. */
  private Object data(Driver.Request request, JsonNode message) throws Exception {
    if (request.mime() != null) return Contract.write(request.route(), request.mime(), message);
    return Contract.JSON.equals(dataMime) ? message : Contract.request(request.route(), message);
  }

  private Class<?> replyClass(Driver.Request request) {
    if (request.mime() != null) return byte[].class;
    return Contract.JSON.equals(dataMime) ? JsonNode.class : Contract.replyClass(request.route());
  }

  private static JsonNode read(Driver.Request request, Object reply) {
    try {
      if (reply instanceof Message message) return Contract.json(message);
      return reply instanceof JsonNode tree ? tree : Contract.read(request.route(), request.mime(), (byte[]) reply);
    } catch (Exception error) {
      throw new IllegalStateException(error);
    }
  }

  @Override
  public Mono<JsonNode> call(Driver.Request request) throws Exception {
    return ask(request).data(data(request, request.message())).retrieveMono(replyClass(request)).map(reply -> read(request, reply));
  }

  @Override
  public Mono<Void> fire(Driver.Request request) throws Exception {
    return ask(request).data(data(request, request.message())).send();
  }

  @Override
  public Flux<JsonNode> stream(Driver.Request request) throws Exception {
    return ask(request).data(data(request, request.message())).retrieveFlux(replyClass(request)).map(reply -> read(request, reply));
  }

  @Override
  public Flux<JsonNode> channel(Driver.Request request, Flux<JsonNode> commands) {
    var messages = commands.map(command -> {
      try {
        return data(request, command);
      } catch (Exception error) {
        throw new IllegalStateException(error);
      }
    });
    return ask(request).data(messages, Object.class).retrieveFlux(replyClass(request)).map(reply -> read(request, reply));
  }

  @Override
  public void close() {
    socket.dispose();
  }
}
