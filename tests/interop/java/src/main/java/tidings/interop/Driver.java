package tidings.interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.rsocket.RSocketErrorException;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Consumer;
import org.reactivestreams.Subscription;
import reactor.core.publisher.BaseSubscriber;
import reactor.core.publisher.Flux;
import reactor.core.publisher.Mono;
import reactor.core.publisher.Sinks;

/** Takes the commands of the tests line by line, as `driver.cjs` does, and carries them out with one library. */
final class Driver {
  /** A library, as the driver wants it. */
  interface Library {
    Socket connect(URI url, JsonNode setup, Events events) throws Exception;
  }

  /** What a connection tells of itself. */
  interface Events {
    void closed(Throwable error);

    void keepalive(boolean asks);
  }

  /** One connection. Messages are JSON, however they travel. */
  interface Socket {
    Mono<JsonNode> call(Request request) throws Exception;

    Mono<Void> fire(Request request) throws Exception;

    Flux<JsonNode> stream(Request request) throws Exception;

    Flux<JsonNode> channel(Request request, Flux<JsonNode> commands) throws Exception;

    void close();
  }

  /** `mime` and `auth` are null where the request has none of its own. */
  record Request(String route, JsonNode message, String mime, JsonNode auth) {
    static Request of(JsonNode command) {
      return new Request(
          command.get("route").asText(), command.get("message"), command.path("mime").asText(null), command.get("auth"));
    }
  }

  private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);

  private final Library library;
  private final Map<Integer, Socket> sockets = new HashMap<>();
  private final Map<Integer, Subscription> streams = new HashMap<>();
  private final Map<Integer, Sinks.Many<JsonNode>> commands = new HashMap<>();

  Driver(Library library) {
    this.library = library;
  }

  /** Until the input ends. */
  void run() throws Exception {
    var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line; (line = lines.readLine()) != null; ) {
      var command = Contract.MAPPER.readTree(line);
      var answer = Contract.MAPPER.createObjectNode().put("id", command.get("id").asInt());
      try {
        obey(command)
            .subscribe(result -> say(answer.set("result", result)), error -> say(answer.set("error", told(error))));
      } catch (Exception error) {
        say(answer.set("error", told(error)));
      }
    }
    System.exit(0);
  }

  private Mono<JsonNode> obey(JsonNode command) throws Exception {
    var nothing = Mono.<JsonNode>just(Contract.MAPPER.nullNode());
    var stream = command.path("stream").asInt();
    switch (command.get("do").asText()) {
      case "connect" -> connect(command);
      case "call" -> {
        return socket(command).call(Request.of(command)).defaultIfEmpty(Contract.MAPPER.createObjectNode());
      }
      case "fire" -> {
        return socket(command).fire(Request.of(command)).then(nothing);
      }
      case "watch" -> follow(stream, command.get("n").asLong(), socket(command).stream(Request.of(command)));
      case "channel" -> {
        var sink = Sinks.many().unicast().<JsonNode>onBackpressureBuffer();
        sink.tryEmitNext(command.get("message"));
        commands.put(stream, sink);
        follow(stream, command.get("n").asLong(), socket(command).channel(Request.of(command), sink.asFlux()));
      }
      case "request" -> streams.get(stream).request(command.get("n").asLong());
      case "cancel" -> streams.get(stream).cancel();
      case "send" -> commands.get(stream).tryEmitNext(command.get("message"));
      case "complete" -> commands.get(stream).tryEmitComplete();
      case "close" -> socket(command).close();
      default -> throw new IllegalArgumentException(command.get("do").asText());
    }
    return nothing;
  }

  private Socket socket(JsonNode command) {
    return sockets.get(command.get("connection").asInt());
  }

  private void connect(JsonNode command) throws Exception {
    var number = command.get("connection").asInt();
    Consumer<Consumer<ObjectNode>> tell = fill -> {
      var message = Contract.MAPPER.createObjectNode().put("connection", number);
      fill.accept(message);
      say(message);
    };
    var events = new Events() {
      @Override
      public void closed(Throwable error) {
        tell.accept(message -> message.set("closed", told(error)));
      }

      @Override
      public void keepalive(boolean asks) {
        tell.accept(message -> message.put("keepalive", asks ? "ask" : "echo"));
      }
    };
    sockets.put(number, library.connect(new URI(command.get("url").asText()), command, events));
  }

  private void follow(int stream, long n, Flux<JsonNode> items) {
    var subscriber = new BaseSubscriber<JsonNode>() {
      @Override
      protected void hookOnSubscribe(Subscription subscription) {
        subscription.request(n);
      }

      @Override
      protected void hookOnNext(JsonNode item) {
        say(event(stream).set("item", item));
      }

      @Override
      protected void hookOnComplete() {
        say(event(stream).put("complete", true));
      }

      @Override
      protected void hookOnError(Throwable error) {
        say(event(stream).set("error", told(error)));
      }
    };
    streams.put(stream, subscriber);
    items.subscribe(subscriber);
  }

  private static ObjectNode event(int stream) {
    return Contract.MAPPER.createObjectNode().put("stream", stream);
  }

  /** What a test may know of an error: RSocket's code, where the library tells it, and the text. */
  private static JsonNode told(Throwable error) {
    var message = Contract.MAPPER.createObjectNode();
    if (error instanceof RSocketErrorException known) message.put("code", known.errorCode());
    else message.putNull("code");
    return message.put("text", error == null || error.getMessage() == null ? "" : error.getMessage());
  }

  private static synchronized void say(JsonNode message) {
    OUT.println(message);
    OUT.flush();
  }
}
