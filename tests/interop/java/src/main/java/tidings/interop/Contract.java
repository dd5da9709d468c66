package tidings.interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.Descriptors.FileDescriptor;
import com.google.protobuf.Descriptors.MethodDescriptor;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The methods of the contract by route, and their messages as the generated classes. */
final class Contract {
  static final String JSON = "application/json";
  static final ObjectMapper MAPPER = new ObjectMapper();

  private static final List<FileDescriptor> FILES = List.of(
      tidings.v1.ChatOuterClass.getDescriptor(),
      tidings.v1.HistoryOuterClass.getDescriptor(),
      tidings.v1.PresenceOuterClass.getDescriptor(),
      tidings.v1.ReceiptsOuterClass.getDescriptor(),
      tidings.v1.RoomsOuterClass.getDescriptor(),
      tidings.v1.SessionOuterClass.getDescriptor());
  private static final Map<String, MethodDescriptor> METHODS = new HashMap<>();

  static {
    for (var file : FILES) {
      for (var service : file.getServices()) {
        for (var method : service.getMethods()) {
          METHODS.put((service.getName() + "." + method.getName()).toLowerCase(), method);
        }
      }
    }
  }

  private Contract() {}

  /** The request of a route from its JSON; an unknown route carries an empty message. */
  static Message request(String route, JsonNode message) throws Exception {
    var method = METHODS.get(route);
    if (method == null) return com.google.protobuf.Empty.getDefaultInstance();
    var builder = prototype(method.getInputType()).newBuilderForType();
    JsonFormat.parser().merge(message.toString(), builder);
    return builder.build();
  }

  /** The generated class of a route's answer. */
  static Class<? extends Message> replyClass(String route) {
    var method = METHODS.get(route);
    return method == null ? com.google.protobuf.Empty.class : classOf(method.getOutputType());
  }

  static byte[] write(String route, String mime, JsonNode message) throws Exception {
    return JSON.equals(mime) ? MAPPER.writeValueAsBytes(message) : request(route, message).toByteArray();
  }

  static JsonNode read(String route, String mime, byte[] data) throws Exception {
    if (JSON.equals(mime)) return MAPPER.readTree(data);
    var method = METHODS.get(route);
    return method == null ? MAPPER.createObjectNode() : json(prototype(method.getOutputType()).getParserForType().parseFrom(data));
  }

  static JsonNode json(Message message) throws Exception {
    return MAPPER.readTree(JsonFormat.printer().omittingInsignificantWhitespace().print(message));
  }

  private static Message prototype(Descriptor type) {
    try {
      return (Message) classOf(type).getMethod("getDefaultInstance").invoke(null);
    } catch (ReflectiveOperationException error) {
      throw new IllegalStateException(error);
    }
  }

  @SuppressWarnings("unchecked")
  private static Class<? extends Message> classOf(Descriptor type) {
    try {
      return (Class<? extends Message>) Class.forName(type.getFile().getOptions().getJavaPackage() + "." + type.getName());
    } catch (ClassNotFoundException error) {
      throw new IllegalStateException(error);
    }
  }
}
