"""The words of answering, by language: what `letters`, `yes_no` and `declared` build patterns from.

Every entry is a fragment of a regular expression, matched without regard to case. A fragment may
repeat only what is bounded, so that no pattern built of them can backtrack for long. To teach a
language, add its words here and a few answers to ``tests/scoring/hard_answers.jsonl``.
"""

from __future__ import annotations

#: No letter or digit of a Latin script: CJK text puts letters beside its own signs unspaced.
LEFT = r"(?<![A-Za-z0-9_'\u00c0-\u024f])"
RIGHT = r"(?![A-Za-z0-9_'\u00c0-\u024f])"
CJK = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"

#: What an answer is called, in languages that part words by spaces.
NOUNS = (
    r"answer|choice|option|solution"
    r"|antwort|lösung|réponse|respuesta|risposta|resposta|antwoord|ответ|odpowiedź|svaret|svar"
    r"|cevap|jawabannya|jawaban|đáp\sán|الإجابة|الجواب"
)
#: Nouns that declare an open answer: an option or a choice is one among others.
TEXT_NOUNS = NOUNS.replace("|choice|option|solution", "").replace("|lösung", "")
ADJECTIVES = (
    r"correct[ea]?|right|corretta|giusta|esatta|correta|certa|finale?|juste|exacte|dada|is\scorrect"
    r"|الصحيحة"
)
COPULAS = (
    r"is|was|(?:would|should|must|will|could|has\sto)\s{1,3}be|appears\sto\sbe|seems\sto\sbe"
    r"|ist|lautet|wäre|war|est|serait|es|sería|seria|è|é|это|to|là|adalah|är|هي|هو"
)
#: Words that may stand between a cue and its letter.
ADVERBS = (
    r"(?:most\s{1,3})?(?:likely|probably|clearly|definitely|obviously|therefore|thus|indeed)"
    r"|in\sfact|actually|simply|wahrscheinlich|vermutlich|also|daher|probablement|donc"
    r"|probablemente|probabilmente|provavelmente"
)
UNDECIDED = r"either|both|entweder|sowohl|soit|ou\sbien|o\sbien|between"
ARTICLES = r"the|die|der|das|la|le|les|el|a|o|de|het"
OPTIONS = (
    r"correct\s{1,3}(?:option|choice|letter|answer)|option|choice|letter|answer|opción|opzione"
    r"|opção|l'option|buchstabe|lettre|letra|lettera|point|image|picture|panel|statement|number"
    r"|вариант|optie|opsi"
)
#: Verbs by which one chooses.
CHOOSES = (
    r"choose|chose|pick|select|go\s{1,3}with|going\s{1,3}with|opt\s{1,3}for|settle\son|vote\sfor"
    r"|i'd\s{1,3}say|i\swould\ssay|i\s(?:think|believe|guess)(?:\sit's|\sit\sis|\sthat\sit\sis)?"
    r"|ha(?:d|ve)\sto\s(?:guess|choose|pick)[,:]\s|(?:best\s)?guess[,:]\s|my\sguess\sis|(?:but\s)?(?:it|that)(?:'s|\s{1,3}is)"
    r"|(?:ich\s)?(?:wähle|nehme)|richtig\s(?:ist|wäre)|korrekt\sist|(?:je\s)?choisis|c'est"
    r"|elijo|escojo|selecciono|es\sla|scelgo|escolho|выбираю|ik\skies"
)
#: Cues of unspaced scripts, and of Korean, before the letter.
CJK_CUES = (
    r"(?:答案|答え|正解|正答|回答|解答|정답|답변?|答)"
    r"(?:应该|應該|应|應|就|可能|选项|選項)?(?:是|为|為|选|選|は|은|는|이)?[\s:、,]{0,4}"
    r"|(?:选择|選擇|选|選)(?![项項択出])了?|正确的?(?:选项|答案)?是|正しいのは|正解の選択肢は"
    r"|(?:应该|應該|应|應)(?:是|为|為)|맞는\s(?:것은|답은)"
)
CJK_OPTIONS = r"选项|選項|選択肢|보기|선택지"

#: What follows a letter that is the answer.
AFTER = (
    r"\s{1,3}(?:is|must\s{1,3}be|seems|appears\sto\sbe)\s{1,3}(?:the\s{1,3})?(?:most\s{1,3})?"
    r"(?:only\s{1,3})?(?:correct|right|best|answer|accurate|appropriate|true\b|my\sanswer)"
    r"|\s{1,3}as\s(?:the|my)\s(?:final\s|correct\s)?(?:answer|choice)"
    r"|[ ](?-i:it)\sis(?=\s{0,2}(?:[.!,;]|$))"
    r"|\s{1,3}(?:matches|fits|describes\sit)\sbest"
    r"|\s?(?:选项)?(?:是|为|才是)?(?:最)?(?:正确|正確|对的|對的)|\s?[がはを](?:正解|正し|答え|選び|選択)"
    r"|\s?(?:번)?(?:이|가)\s?(?:정답|맞|답)|\s?(?:번)?[을를]\s?(?:선택|고르)"
    r"|\sist\s(?:die\s)?(?:richtig|korrekt)|\sest\s(?:la\s)?(?:correct|juste|bonne)"
    r"|\ses\s(?:la\s)?correct|\sè\s(?:la\s)?(?:corrett|giust)|\sé\s(?:a\s)?(?:corret|cert)"
)
#: What denies the letter or the words that follow.
DENIES_NEXT = (
    r"\b(?:not|never)(?:\s{1,3}(?:be|choose|pick|select|say|really|necessarily|at))?"
    r"|\b(?:can|could|would|should)?not(?:\s{1,3}be)?|n't(?:\s{1,3}(?:be|choose|pick|select))?"
    r"|\bneither|\bnor|\brather\s{1,3}than|\binstead\s{1,3}of|\bother\sthan|\bexcept(?:\sfor)?"
    r"|\bthan|\bunlike|\bwithout|\brul(?:e[sd]?|ing)\sout|\beliminat(?:e[sd]?|ing)"
    r"|\bexclud(?:e[sd]?|ing)|\breject(?:s|ed|ing)?|\bdiscard(?:s|ed|ing)?|\bdismiss(?:ed)?"
    r"|\bnicht|\bkeine?|\bweder|\bnoch|\bstatt|\bpas|\bni|\bno\ses|\bno|\bnon\sè|\bnão\sé|\bне"
    r"|(?<!是)不(?:是|选|選|会是|可能是|能选)?|并非|並非|而非|排除(?:了)?|没有选"
)
#: The words of the fragments above in ASCII: where none of them stands, nothing is denied.
DENIALS = """
not never cannot couldnot wouldnot shouldnot neither nor than of except for unlike without out
eliminate eliminated eliminates eliminating exclude excluded excludes excluding reject rejects
rejected rejecting discard discarded discards discarding dismiss dismissed nicht kein keine weder
noch statt pas ni es no e
"""
#: What denies the letter before it.
DENIES_LAST = (
    r"\s{1,3}(?:is|was|are|were|seems?|looks?|appears?)\s{1,3}"
    r"(?:(?:clearly|obviously|definitely|also|both|all|simply|certainly)\s{1,3}){0,2}"
    r"(?:wrong|incorrect|not|false|out\b|impossible|unlikely|eliminated|excluded|irrelevant|ruled"
    r"|less\b|neither|inaccurate|untrue)"
    r"|\s{1,3}(?:isn't|aren't|wasn't|can't|cannot|couldn't|doesn't|don't|does\snot|do\snot|did\snot"
    r"|didn't|won't|wouldn't|fails|lacks|has\sno|makes\sno|can\sbe\s(?:ruled|eliminated|excluded"
    r"|discarded|dismissed))"
    r"|\s{0,2}[:.\-–—]\s{0,2}(?:wrong|incorrect|no\b|false|not\b|✗|❌|✘|×)|\s?[✗❌✘]"
    r"|\s?(?:选项)?(?:都)?(?:是)?(?:错|不正确|不正確|不对|不對|不符|不是)|\s?[はがも](?:間違|違|誤|不正解)"
    r"|\s?(?:では|じゃ)(?:な|あり)|\s?(?:은|는|이|가)\s?(?:아니|아닙|아닌|틀)"
    r"|\s(?:ist|sind)\s(?:falsch|nicht|ausgeschlossen)|\s(?:est|sont)\s(?:faux|fausse|incorrect)"
    r"|\sn'est\spas|\s(?:es|son)\s(?:incorrect|fals)|\sno\s(?:es|son)|\sè\s(?:sbagliat|errat)"
    r"|\snon\sè|\sé\s(?:incorret|errad)|\snão\sé"
)
#: What takes back what was said before.
CORRECTIONS = (
    r"wait|no|nope|actually|correction|sorry|hmm+|scratch\sthat|i\smean|i\smeant|make\sthat|rather"
    r"|on\ssecond\sthoughts?|or\srather|oops|nein|doch|quatsch|pardon|perdón|en\sfait|sondern|sino"
    r"|不对|不對|等等|更正|而是|应该是|應該是|いや|訂正|아니"
)
#: What draws a conclusion.
CONCLUSIONS = (
    r"so|therefore|thus|hence|consequently|finally|overall|in\sconclusion|→|=>|⇒|∴|->"
    r"|所以|因此|故|よって|したがって|따라서|그러므로|daher|deshalb|donc|por\slo\stanto|quindi|portanto"
)
#: Words between these and a letter.
PRONOUNS = (
    r"it|it's|its|that|that's|this|is|must|should|would|has|to|be|we|i|i'd|have|get|say|go|with|and"
    r"|must\sbe|will|c'est|es|ist|the|one|the\sanswer|option|是|选|選|也"
)
#: Reasons that follow an answer: a lone ``A`` before them is a letter and no article.
REASONS = r"because|since|as|weil|denn|parce|porque|perché|ya\sque|because\sof"

#: Nouns with a letter that is a name and no choice.
NAMED_THINGS = """
mr. mrs. ms. dr. mr mrs ms dr
vitamin vitamins hepatitis influenza type plan grade class section figure figures fig fig. point
points line lines team teams group groups block blocks row rows column columns gate gates exit exits
room rooms building buildings terminal terminals platform platforms zone zones level levels size
lane lanes bus buses appendix exhibit chart charts panel panels image images picture pictures photo
photos box boxes part parts step steps person persons player players car cars wing wings area areas
sector sectors drive drives key keys note degree degrees labelled labeled marked label labels called
named sign signs button buttons road roads route routes table tables cup vertex node nodes angle
side region object schedule vitamina vitamine punkt bild abbildung gruppe linie figura punto
"""
CJK_NAMED_THINGS = ("°", "º", "图", "点", "線", "线", "路", "区", "维生素", "ビタミン", "비타민")
NAMED_AFTER = (
    r"\s(?:major|minor|flat|sharp|vitamins?|players?|batter(?:y|ies)|trains?|grades?|cells?"
    r"|sections?|street|avenue|lines?|team|level|level|size)\b|[+#°&]|-\w|\.[A-Za-z]\b|大调|小调|级"
)

#: Refusals; each stands for the whole answer.
REFUSALS = (
    r"\bI(?:'m|\s{1,3}am)\s{1,3}(?:unable|not\s{1,3}able|not\s{1,3}allowed)\s{1,3}to\b"
    r"|\bI\s{1,3}(?:can(?:not|'t|\s{1,3}not)|could\s{1,3}not|couldn't|won't|will\s{1,3}not)\s{1,3}"
    r"(?:answer|assist|help|provide|determine|identify|see|view|access|process|comply|tell|say"
    r"|recognize|recognise|read|fulfil|discuss|engage|do|give|make|confirm|describe|analy[sz]e)\b"
    r"|\bI\s{1,3}(?:must|have\s{1,3}to)\s{1,3}(?:decline|refuse)\b|\bI\s{1,3}(?:decline|refuse)\b"
    r"|\bas\s{1,3}an\s{1,3}AI\b|\bI\s(?:don't|do\snot)\shave\s(?:the\sability|access)\b"
    r"|\bI'd\srather\snot\s(?:answer|say)\b|\bI(?:'m|\sam)\snot\scomfortable\b"
    r"|(?:我|很?抱歉|对不起|對不起|无法|無法)[^。\n]{0,12}(?:无法|無法|不能|不便|拒绝|看不)[^。\n]{0,4}"
    r"(?:回答|识别|識別|辨认|确定|確定|判断|判斷|提供|看|查看|访问|清|到|帮)"
    r"|(?:お答え|回答|判断|確認|特定|お手伝い|識別)(?:することは?|は)?(?:でき(?:ません|ない|かね)|致しかね)"
    r"|(?:답변|대답|식별|확인|판단|볼|도와|제공|알)[^.\n]{0,6}\s?수\s?(?:가\s|는\s)?없"
    r"|\bIch\skann\b[^.\n]{0,50}\bnicht\s(?:\w{1,12}\s)?(?:beantworten|erkennen|sehen|bestimmen"
    r"|helfen|identifizieren|sagen|beurteilen|lesen|feststellen)"
    r"|\bIch\sbin\snicht\sin\sder\sLage\b"
    r"|\bje\sne\s(?:peux|suis)\spas\s(?:en\smesure\sde\s)?(?:vous\s)?(?:répondre|voir|identifier|aider"
    r"|déterminer|lire|fournir|dire)"
    r"|\bno\s(?:puedo|es\sposible|me\ses\sposible)\s(?:\w{1,12}\s)?(?:responder|ver|identificar|ayudar"
    r"|determinar|leer|proporcionar|decir|contestar|acceder)"
    r"|\bnon\sposso\s(?:rispondere|vedere|identificare|aiutar|determinare|leggere|fornire)"
    r"|\bnão\s(?:posso|consigo)\s(?:responder|ver|identificar|ajudar|determinar|ler|fornecer)"
)

#: Words that say yes and no by themselves.
YES = r"yes|yeah|yep|yup|true|ja|jawohl|wahr|oui|vrai|sí|verdadero|cierto|vero|sim|verdadeiro|да"
NO = r"no|nope|false|nein|falsch|non|faux|falso|não|nee|нет"
#: The same in unspaced scripts, whole or first; what follows must part it from a longer word.
CJK_YES = (
    r"是的|对的|對的|没错|沒錯|正确|正確|有的|存在|はい|ええ|そうです|正しい|その通り|맞습니다|맞아요|그렇습니다"
    r"|(?:是|对|對|有|真|うん|예|네)(?=[\s,.!。、;:]|$)"
)
CJK_NO = (
    r"不是的?|不对|不對|不正确|不正確|没有|沒有|错误|錯誤|错的|不存在|いいえ|いえ|違います|違う|正しくな"
    r"|間違|아니(?:요|오|에요)|아닙니다|틀렸|틀립|(?:不|否|错|錯|假|无|無)(?=[\s,.!。、;:]|$)"
)
