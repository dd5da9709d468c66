/** A small choice of emoji, with words to find them by in both languages. */

export interface Emoji {
  readonly char: string;
  /** English names, then Chinese ones; the first is what it is called. */
  readonly en: string;
  readonly zh: string;
}

/** One click away on every message. */
export const QUICK_REACTIONS: readonly string[] = ["👍", "❤️", "😂", "🎉", "😮", "😢"];

const TABLE = `
😀 grinning happy smile|微笑 开心
😃 smiling happy|笑 高兴
😄 laughing eyes happy|大笑 开心
😁 beaming grin|露齿笑
😆 squinting laugh|眯眼笑
😅 sweat smile relief|汗 尴尬笑
🤣 rolling on the floor rofl|笑翻 打滚
😂 tears of joy lol|笑哭
🙂 slight smile|浅笑
🙃 upside-down irony|倒脸
😉 wink|眨眼
😊 blush shy smile|害羞 脸红
😇 halo angel|天使
🥰 hearts love adore|喜爱 爱心
😍 heart eyes love|花痴 喜欢
😘 kiss|飞吻 亲
😋 yum tasty|好吃 美味
😜 tongue wink joke|吐舌 调皮
🤪 zany crazy|疯狂
🤗 hug|拥抱
🤭 hand over mouth oops|捂嘴
🤫 quiet shush secret|嘘 安静
🤔 thinking hmm|思考 想
🤨 raised eyebrow doubt|怀疑 挑眉
😐 neutral|面无表情
😏 smirk|得意
🙄 rolling eyes|白眼
😬 grimace awkward|龇牙 尴尬
😌 relieved calm|放松 安心
😴 sleep tired|睡觉 困
🤒 ill sick thermometer|生病 发烧
🤯 mind blown exploding|震惊 爆炸
🥳 party celebrate|庆祝 派对
😎 cool sunglasses|酷 墨镜
🤓 nerd glasses|书呆子 眼镜
🧐 monocle inspect|审视
😕 confused|困惑
🙁 frown sad|难过
😮 surprised wow open mouth|惊讶 哇
😳 flushed embarrassed|脸红 尴尬
🥺 pleading please|拜托 可怜
😢 cry tear sad|哭 流泪
😭 sobbing crying loud|大哭
😱 scream fear|尖叫 害怕
😤 huff triumph|不服 生气
😡 angry mad|生气 愤怒
🤬 swearing cursing|骂人
💀 skull dead|骷髅 笑死
💩 poop|便便
🤖 robot bot|机器人
👻 ghost|鬼
👋 wave hello bye|挥手 你好 再见
👌 ok fine|好的
✌️ victory peace|胜利 耶
🤞 fingers crossed luck|祝好运
🤙 call me shaka|打电话
👈 left point|左
👉 right point|右
👆 up point|上
👇 down point|下
👍 thumbs up yes good like|赞 好 同意
👎 thumbs down no bad|踩 不好 反对
✊ fist|拳头
👏 clap applause bravo|鼓掌
🙌 raised hands hooray|万岁 举手
🙏 thanks please pray|谢谢 感谢 拜托
🤝 handshake deal|握手 合作
💪 strong muscle|加油 强壮
👀 eyes look|看 围观
🧠 brain|大脑
🫡 salute yes sir|敬礼 收到
🤷 shrug dunno|耸肩 不知道
🤦 facepalm|捂脸
❤️ red heart love|爱心 爱
🧡 orange heart|橙心
💛 yellow heart|黄心
💚 green heart|绿心
💙 blue heart|蓝心
💜 purple heart|紫心
🖤 black heart|黑心
💔 broken heart|心碎
💯 hundred perfect|满分 一百
✨ sparkles new shiny|闪亮 新
🔥 fire hot lit|火 厉害
⭐ star|星星
💥 boom collision|爆炸
💤 zzz sleep|睡
💬 speech message|消息 说话
🎉 party popper tada congratulations|庆祝 恭喜 撒花
🎊 confetti|彩带
🎁 gift present|礼物
🎂 birthday cake|生日 蛋糕
🏆 trophy win|奖杯 冠军
🥇 gold medal first|金牌 第一
🎯 target bullseye|目标 命中
🎵 music note|音乐
📷 camera photo|相机 照片
💡 idea light bulb|主意 灯泡
🔔 bell notify|铃 通知
🔕 muted bell|静音
📌 pin|置顶 图钉
📎 paperclip attach|附件 回形针
📅 calendar date|日历 日期
📈 chart up growth|上升 增长
📉 chart down|下降
📝 memo note write|笔记 备忘
📚 books|书
🔍 search look|搜索
🔒 lock secure|锁 安全
🔑 key|钥匙
🔧 wrench fix tool|扳手 修
🔨 hammer build|锤子
⚙️ gear settings|齿轮 设置
🧪 test experiment|试验 测试
🐛 bug insect|虫 缺陷
🚀 rocket ship launch|火箭 发布
🚧 construction work in progress|施工 进行中
🚨 alarm alert|警报
⚠️ warning|警告
✅ check done yes|完成 对
❌ cross no wrong|错 不
❓ question|问号 问题
❗ exclamation important|感叹号 重要
➕ plus|加
🔁 repeat again|重复
⏰ alarm clock time|闹钟 时间
⏳ hourglass waiting|沙漏 等待
☕ coffee|咖啡
🍵 tea|茶
🍺 beer|啤酒
🍻 cheers beers|干杯
🍕 pizza|披萨
🍔 burger|汉堡
🍜 noodles ramen|面条
🍚 rice|米饭
🥟 dumpling|饺子
🍎 apple|苹果
🍉 watermelon|西瓜 吃瓜
🍰 cake|蛋糕
🐶 dog|狗
🐱 cat|猫
🐼 panda|熊猫
🦊 fox|狐狸
🐟 fish|鱼
🐢 turtle slow|乌龟 慢
🦀 crab rust|螃蟹
🐍 snake python|蛇
🐘 elephant|大象
🦄 unicorn|独角兽
🐝 bee|蜜蜂
🌱 seedling grow|发芽
🌳 tree|树
🌸 blossom spring|樱花 春
🌹 rose|玫瑰
☀️ sun sunny|太阳 晴
🌙 moon night|月亮 晚安
🌈 rainbow|彩虹
☔ rain umbrella|雨 伞
❄️ snow cold|雪 冷
🌊 wave sea tide|海浪 潮
🌍 world earth|地球 世界
🏠 home house|家
🏢 office|办公室
🚗 car|汽车
🚲 bicycle bike|自行车
🚆 train|火车
✈️ plane travel|飞机 旅行
⚽ football soccer|足球
🏀 basketball|篮球
🎮 game|游戏
🏳️ white flag surrender|白旗 投降
🏁 finish flag|终点
`;

// Those that are wanted most come first, also in the whole choice.
export const EMOJI: readonly Emoji[] = TABLE.trim()
  .split("\n")
  .map((row) => {
    const [first = "", zh = ""] = row.split("|");
    const space = first.indexOf(" ");
    return {char: first.slice(0, space), en: first.slice(space + 1), zh};
  })
  .sort((one, other) => rank(one) - rank(other));

function rank({char}: Emoji): number {
  const place = QUICK_REACTIONS.indexOf(char);
  return place < 0 ? QUICK_REACTIONS.length : place;
}

/** Those with all the words, unfinished or not; everything for no words. */
export function findEmoji(query: string): readonly Emoji[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  return EMOJI.filter(({char, en, zh}) => words.every((word) => ` ${en}`.includes(` ${word}`) || zh.includes(word) || char === word));
}
